"""Configuration of the commands: schema, resolvers, choices, validation, guard of instantiation."""

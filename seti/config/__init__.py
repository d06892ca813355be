"""What the commands accept: the schema of the configuration, its resolvers, validation, guarded instantiation."""

"""Configuration of the commands: schema, resolvers, choices, validation, `_target_` guard.

`schema` (training, prediction) and `commands` (all others) hold the types of the settings, `choices` the words that a
setting accepts, `validation` with `input_checks`, `training_checks` and `checks` refuses values, `instantiation_guard`
refuses foreign `_target_` entries, `folder` finds `conf/`, `compose` reads it outside of a command.
"""

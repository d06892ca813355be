"""Configuration of the commands: schema, resolvers, choices, validation, `_target_` guard.

`schema` (training, prediction) and `commands` (all others) hold the types of the settings, `choices` the words that a
setting accepts, `validation` with `input_checks`, `training_checks` and `checks` refuses values, `trainer_checks` those
of Lightning's Trainer, `process_checks` several processes in one run, `launcher_checks` actors, `instantiation_guard`
foreign `_target_` entries, `folder` finds `conf/`, `compose` reads it outside of a command.
"""

"""Where engine and training meet: compress, finetune, export, search, validate, stages."""

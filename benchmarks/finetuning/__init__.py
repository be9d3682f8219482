"""Fine-tuning of the plans of a study: ``python -m benchmarks.finetuning FOLDER``.

jobs        what is fine-tuned: plans of a study's runs, and the full network
outcomes    which test images each network classifies correctly, as files
archive     outcomes of a published study, in one file
paired      differences of accuracy, with a bootstrap over images and seeds
report      finetuned.md and finetuned.csv
figure      the picture for the report
"""

"""A release's files, from a checkout: ``make release`` writes them to runs/release.

    building    wheels and source archive, as PyPI would read them
    model_cards a folder for each bundled network, as Hugging Face shows it

Nothing is uploaded.
"""

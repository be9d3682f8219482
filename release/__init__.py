"""Files of a release, made from a checkout: ``make release`` writes them to runs/release.

    building    wheels and source archive, checked as PyPI would
    model_cards a folder for each bundled network, in the form of Hugging Face

Nothing is uploaded.
"""

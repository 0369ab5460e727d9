"""The settings by what they are about: a module, a class of fields for each. `gateway/settings.py` makes one of them."""

"""MTMed: multi-task medical image models, trained by many sites that share no image."""

__version__ = "0.1.0"

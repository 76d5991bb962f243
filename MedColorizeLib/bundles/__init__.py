"""A trained model as a folder: safetensors, metadata, model card, SHA-256; finding, verifying and loading it.

Not for: executing anything found in a folder. A bundle is data.
"""

"""Bundles by name and version, in a folder or behind a URL.

    push("runs/intents/bundle", "s3://models")           every file, then the record that makes it there
    pull("intents@production", "s3://models", folder)    verified before anybody opens it

store.py    push, pull, stages and history, whatever lies behind the address
files.py    a folder, or a URL that fsspec knows
mlflow.py   MLflow's Model Registry
signing.py  OpenSSF model signing with an elliptic curve key
"""

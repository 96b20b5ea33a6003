"""Other people's files: adapters written for, and read from, AdapterHub, MMS and ONNX."""

"""One ModelConfig for each model; the file name is the name of the model."""

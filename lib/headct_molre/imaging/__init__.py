"""From a study on disk to the model's input: read -> quality -> align -> prepare."""

# Raised whenever reading, alignment or preparation changes what a model sees; stored predictions of older ones are stale.
PREPARATION_VERSION = "2"

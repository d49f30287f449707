"""K-stage control: how many stages of inspection and rework to run each day."""

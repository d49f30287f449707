"""K-stage inspection: how many stages of inspection and rework a plant runs, once for all."""

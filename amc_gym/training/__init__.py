"""Training from scratch and fine-tuning: the training loop, its recipe and its gradients."""

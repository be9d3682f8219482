"""Training from scratch and fine-tuning: one loop, its recipe and its gradients."""

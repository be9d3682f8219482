"""Whether a search's reward ranks plans as fine-tuning would.

``python -m benchmarks.search_signal`` evaluates random plans of various sizes on the reward images
with every ranking and recovery, and fine-tunes each; the better the two agree, the better the
signal.

    plans         the plans, the same for the same seed
    judgements    accuracies on the reward images, kept in a file
    agreement     correlations with bootstrap intervals
    report        signal.md, signal.csv and the scatter plots
"""

"""Whether a search's reward ranks plans as fine-tuning would.

``python -m benchmarks.search_signal`` judges random plans over a range of sizes on the reward
images, under every ranking and recovery, and fine-tunes each; a signal is worth as much as the two
agree.

    plans         the plans, the same for the same seed
    judgements    accuracies on the reward images, kept in a file
    agreement     correlations with bootstrap intervals
    report        signal.md, signal.csv and the scatter plots
"""

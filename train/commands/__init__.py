"""What each command of ``qfl`` may be told, and what it does."""

"""Training of policies and teams: plans, settings, algorithms, search, and trained models as competitors."""

"""Rules from the literature that choose the participants of a round, and one made for these networks."""

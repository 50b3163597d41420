"""The article's case study: sum-rate of the allocators, and what it does to learning (its Figure 4)."""

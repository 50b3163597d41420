"""What the article claims, what is measured of it, and the verdicts that follow by rule."""

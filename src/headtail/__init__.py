"""headtail measures, explains and corrects popularity bias in recommender systems."""

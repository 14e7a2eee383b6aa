"""What `play` is made of: an agent of its own, and the story of its pods as lines."""

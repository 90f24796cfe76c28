"""``target_accepted``: so many edits are to pass, and no more are asked for than are missing."""

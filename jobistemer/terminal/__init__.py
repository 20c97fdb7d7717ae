"""Tables and keys of a terminal, drawn with rich, for commands, `dev` and `bench`. May import `core` alone."""

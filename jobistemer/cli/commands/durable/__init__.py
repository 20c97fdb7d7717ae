"""Commands about durable handlers: steps, signals, questions."""

"""How a request reaches a reader: endpoints that answer, and what every endpoint is."""

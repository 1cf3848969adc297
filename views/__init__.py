"""The pages: one file each, talking HTTP through the client, never to Redis."""

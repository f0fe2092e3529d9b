"""The order API: sign in, connect, send requests, read answers, repeat what failed."""

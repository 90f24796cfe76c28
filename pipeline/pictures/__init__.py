"""Pictures: made ready to be sent, and checked when they come back. Pillow lives here.

Everything here is synchronous; callers run it in threads. `prepare` makes an `ImageRef`'s bytes
into what the endpoint takes, `shared` does that once for a picture that many edits use; `framing`
and `ratio` know the shapes, and `finish` brings an answer back into its input's. `verify` looks at
the structure of what came back, `checks` at what is to be seen. Importing this loads no Pillow.
"""

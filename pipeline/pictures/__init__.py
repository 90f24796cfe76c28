"""Pictures: made ready to be sent, and checked when they come back. Pillow lives here.

Everything here is synchronous; callers run it in threads. `prepare` makes an `ImageRef`'s bytes
into what the endpoint takes, `shared` does that once for a picture that many edits use, `verify`
looks at what came back, `ratio` names the nearest shape. Importing this loads no Pillow.
"""

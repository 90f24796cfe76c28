from tests.notifying.conftest import hook

__all__ = ["hook"]

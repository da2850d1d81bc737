import pytest

from oidc_issuer import Issuer


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()

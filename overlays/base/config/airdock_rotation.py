"""A second key for tokens, while the first one is replaced.

Airflow takes tokens of one `[api_auth] jwt_secret`. A task holds its token while it runs, so without a second
key a new secret would end every running task.
"""

from __future__ import annotations

import copy
from typing import Any


def accept(second: str) -> None:
    """Have this process take tokens that are signed with `second`, too; it signs none with it."""
    import jwt
    from airflow.api_fastapi.auth.tokens import JWTValidator

    validated = JWTValidator.avalidated_claims

    async def either(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return await validated(self, *arguments, **named)
        except jwt.InvalidSignatureError:
            if not self.secret_key:
                raise
        other = copy.copy(self)
        other.secret_key = second
        return await validated(other, *arguments, **named)

    JWTValidator.avalidated_claims = either

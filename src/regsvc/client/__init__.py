"""The SDK. `client` is its front; `push` and `pull` move models, `builds` and what is around it live builds."""

"""The door for programs written for OpenAI's interface: docs/how-to/openai.md."""

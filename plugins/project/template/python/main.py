"""Serves the model to bridge, which starts this program."""

import bridge_plugin  # first: it keeps what others print out of bridge's way

from model import Model

bridge_plugin.serve(Model, name="mybackbone", version="0.1.0")  # as in plugin.toml

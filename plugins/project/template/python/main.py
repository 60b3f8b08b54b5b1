"""Serves the model to bridge, which starts this program."""

import bridge_plugin  # first: it redirects the standard output

from model import Model

bridge_plugin.serve(Model, name="mybackbone", version="0.1.0")  # as in plugin.toml

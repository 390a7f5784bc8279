"""Where the credentials of models are kept, and how the gateway gets at them."""

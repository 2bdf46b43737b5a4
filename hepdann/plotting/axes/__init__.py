"""How figures look and are laid out: styles, frames, legends, the experiment's label."""

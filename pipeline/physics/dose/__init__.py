"""From time-integrated activity to absorbed dose, with its second checks."""

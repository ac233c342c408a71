"""The chain of numbers from counts to gray, to be read and multiplied back."""

"""One page that shows what trained models get wrong: reads what evaluate wrote, needs no model."""

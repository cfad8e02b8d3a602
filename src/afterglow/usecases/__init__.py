"""One function per thing a person does; `modelling` needs no records."""

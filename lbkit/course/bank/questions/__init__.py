"""The questions, a module for each notebook; lbkit.course.bank.shelf finds them."""

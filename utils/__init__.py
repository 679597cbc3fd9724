"""Helpers of the Assignment 4B notebook, one job a module."""

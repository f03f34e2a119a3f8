"""Mutation tests: do the tests notice when one operator, number or loop of the package is wrong?"""

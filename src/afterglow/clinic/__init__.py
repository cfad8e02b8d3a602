"""The course of care as rules: candidacy, course, session, drugs, diary, measures, worklist, site policy."""

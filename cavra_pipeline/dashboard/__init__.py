"""Dashboard counts over all lanes and per lane (contract section 9). No judgement: health reports judge."""

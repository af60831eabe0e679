import{w as o}from"/app/chunk-LTDRNXVA.js";import"/app/chunk-CVFUNO64.js";export{o as askNewFolder};
